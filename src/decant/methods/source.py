"""Where a method comes from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """The paper of a method.

    Attributes:
        year: of its publication.
        paper: where to find it, such as "arXiv:2203.08679"; its page in docs/methods names the same.
    """

    year: int
    paper: str
