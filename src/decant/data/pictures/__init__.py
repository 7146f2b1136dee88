"""Pictures in files: found, checked, split, and streamed through worker processes."""
