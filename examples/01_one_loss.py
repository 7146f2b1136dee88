"""DKD in a training loop of your own: one function, two batches of logits, the labels."""

import torch
from torch import nn
from torch.nn import functional as F

from decant.losses import dkd_loss

torch.manual_seed(0)
images = torch.randn(512, 20)
teacher = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 10)).eval()  # stands for your trained network
student = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 10))
optimizer = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9)

with torch.no_grad():
    teacher_logits = 8 * teacher(images)  # 8: as confident as trained networks are
    labels = teacher_logits.argmax(dim=1)

for step in range(101):
    logits = student(images)
    loss = F.cross_entropy(logits, labels) + dkd_loss(logits, teacher_logits, labels, alpha=1.0, beta=2.0)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 25 == 0:
        agreement = (logits.argmax(dim=1) == labels).float().mean()
        print(f"step {step:3d}   loss {loss.item():6.3f}   agreement with the teacher {agreement.item():.1%}")
