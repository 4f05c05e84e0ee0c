"""Background removal by pointing: SAM finds what a person clicked on."""
