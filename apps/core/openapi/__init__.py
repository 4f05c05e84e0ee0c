"""The OpenAPI document, from the tables that serve."""
