"""Freehold: private copies of a provider's services, on hardware that nobody else touches."""
