"""Which pictures are meant: a folder, a table, or shards."""

from pathlib import Path

from decant.data.pictures.listing import Listing, list_pictures, require_two_classes
from decant.data.pictures.shard_listing import holds_shards, list_shards


def find_pictures(root: Path, *, cache: Path | None = None, several: bool = False) -> Listing:
    """The pictures of a folder of class folders, of a table, or of tar files.

    Args:
        root: where they are; see :func:`list_pictures` and :func:`list_shards`.
        cache: folder where what shards' headers say is kept.
        several: whether a picture has any number of classes, which tables alone can say.

    Raises:
        FileNotFoundError, ValueError: what these raise.
    """
    if holds_shards(root):
        if several:
            raise ValueError(f"{root}: of several classes to a picture, give a .csv or .tsv file of path,label|label2")
        listing = list_shards(root, cache)
        require_two_classes(root, listing.labels)
        return listing
    return list_pictures(root, several=several)
