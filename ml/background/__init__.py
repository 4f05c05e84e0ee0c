"""Background removal: what finds the subject by itself."""
