"""Speed, measured against floors and, where a checkout is given, against the reference implementation."""
