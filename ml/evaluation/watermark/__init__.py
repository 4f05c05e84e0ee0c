"""How well marks are found and removed, on marks that are drawn here; training draws its own with the same hand."""
