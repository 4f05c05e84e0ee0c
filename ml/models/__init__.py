"""One file per family of networks: pixels in, a matte out."""
