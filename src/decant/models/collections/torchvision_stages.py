"""Names for the inner stages of torchvision's ResNets, as the networks of the protocol have them."""

from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from decant.models.network import global_average_pool, stage_taps


def named_stages(network: nn.Module) -> nn.Module:
    """The same network, with ``taps`` where it is a ResNet (ResNeXt and Wide ResNet too): same keys, same numbers.

    torchvision adds, and overwrites by its ReLU, what features before the activation are; here the last block of each
    stage keeps it, under a path of its own.

    >>> from torchvision.models import resnet18
    >>> list(named_stages(resnet18()).taps)[:3]
    ['stage0', 'stage1', 'stage1.pre']
    """
    if not isinstance(network, ResNet):
        return network
    stages = []
    for number in range(1, 5):
        stage = cast(nn.Sequential, network.get_submodule(f"layer{number}"))
        last = len(stage) - 1
        block: Any = stage[last]
        block.__class__ = _LastBottleneck if isinstance(block, Bottleneck) else _LastBasicBlock
        block.preactivation = nn.Identity()
        stages.append((f"layer{number}", f"layer{number}.{last}.preactivation"))
    resnet: Any = network
    resnet.avgpool = global_average_pool()
    resnet.taps = stage_taps("maxpool", stages, pooled="avgpool")
    return cast(nn.Module, network)


class _LastBasicBlock(BasicBlock):  # type: ignore[misc]
    preactivation: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.preactivation(branch + shortcut))


class _LastBottleneck(Bottleneck):  # type: ignore[misc]
    preactivation: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        branch = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        branch = self.bn3(self.conv3(branch))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.preactivation(branch + shortcut))
