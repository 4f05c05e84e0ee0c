"""The watermark network: which pixels of a photo a mark was laid over, and how opaque it is."""
