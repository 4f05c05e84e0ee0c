"""What any feature does to pixels: numpy in, numpy out, no network."""
