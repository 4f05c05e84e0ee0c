"""The worker's side: its process, the networks that it holds, and what a runner gets to work with."""
