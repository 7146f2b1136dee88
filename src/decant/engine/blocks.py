"""The parts of a network that are worth handling by themselves."""

from collections.abc import Iterator

from torch import nn


def blocks_of(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost parts of lists and sequences that have parts themselves, such as the blocks of a residual network.

    None where parameters are shared: each belongs to one block.

    >>> len(list(blocks_of(nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, batch_first=True), 3))))
    3
    """
    names = [id(value) for _, value in module.named_parameters(remove_duplicate=False)]
    if len(set(names)) < len(names):
        return
    waiting = [module]
    while waiting:
        parent = waiting.pop()
        listed = isinstance(parent, nn.Sequential | nn.ModuleList)
        for child in parent.children():
            composed = next(child.children(), None) is not None and next(child.parameters(), None) is not None
            if listed and composed and not isinstance(child, nn.Sequential | nn.ModuleList):
                yield child
            else:
                waiting.append(child)
