"""Which pictures are meant: a folder, a table, shards, or a data set of the `datasets` library."""

from pathlib import Path

from decant.data.pictures.hub import is_hub, list_hub
from decant.data.pictures.listing import Listing, list_pictures, require_two_classes
from decant.data.pictures.shard_listing import holds_shards, list_shards


def find_pictures(root: Path, *, cache: Path | None = None, download: bool = False, several: bool = False) -> Listing:
    """The pictures of a folder of class folders, of a table, of tar files, or of ``hf:NAME``.

    Args:
        root: where they are; see :func:`list_pictures`, :func:`list_shards` and :func:`list_hub`.
        cache: folder where what shards' headers say is kept.
        download: whether what ``hf:NAME`` lacks on this machine may be fetched.
        several: whether a picture has any number of classes, which tables alone can say.

    Raises:
        FileNotFoundError, ValueError: what these raise.
    """
    hub, shards = is_hub(root), holds_shards(root)
    if several and (hub or shards):
        raise ValueError(f"{root}: of several classes to a picture, give a .csv or .tsv file of path,label|label2")
    if hub:
        listing = list_hub(root, download=download)
    elif shards:
        listing = list_shards(root, cache)
    else:
        return list_pictures(root, several=several)
    require_two_classes(root, listing.labels)
    return listing
