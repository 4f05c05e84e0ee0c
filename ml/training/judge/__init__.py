"""The judge: a small network that decides, from a photo and what two saliency networks say of it, what to keep."""
