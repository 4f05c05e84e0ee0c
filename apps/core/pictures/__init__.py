"""Files of pictures: told apart, measured, tried, read and written. Nothing here knows jobs or money."""
