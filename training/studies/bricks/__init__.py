"""Bricks: a trained circuit's functional parts, found, silenced, retrieved, merged, updated and grown."""
