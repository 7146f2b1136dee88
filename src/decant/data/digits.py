"""scikit-learn's handwritten digits: real, small, and part of the package, so that nothing is downloaded."""

import torch

from decant.data.image_set import ImageSet
from decant.data.stratify import rank_in_class

TEST_PER_CLASS = 60
"""600 test images of 1797; the other 1197 are for training."""
TEST_SEED = 0
"""Part of the data set's definition rather than a setting: no run may choose its own test images."""
MEAN, STD = (0.3053,), (0.3755,)
"""Of the pixels of all 1197 images that are not test images."""


def load_digits() -> tuple[ImageSet, ImageSet]:
    """1197 training and 600 test images of 8 x 8 grey pixels, ten classes; 60 test images of each class.

    Source: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI repository, 1998, its test part.
    """
    from sklearn import datasets  # here: importing it takes seconds, and only this data set needs it

    bundle = datasets.load_digits()
    # Grey levels are 0 to 16; stretched to 0 to 255 so that every data set is uint8.
    images = (torch.from_numpy(bundle.images) * (255 / 16)).round().to(torch.uint8).unsqueeze(1)
    target = torch.from_numpy(bundle.target).to(torch.int64)
    whole = ImageSet(images, target, tuple(str(digit) for digit in range(10)), MEAN, STD, "digits")
    is_test = rank_in_class(target, TEST_SEED, "test") < TEST_PER_CLASS
    return (
        whole.subset((~is_test).nonzero()[:, 0], "digits/train"),
        whole.subset(is_test.nonzero()[:, 0], "digits/test"),
    )
