"""The clothing network: which garment each pixel of a photo belongs to."""
