"""Measurements, demonstrations, and the real servers they run against. Never imported by the router."""
