"""The networks' weights: what is known of them, how they come, and those made here, beside their cards."""
