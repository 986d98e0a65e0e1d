"""Circuits for Stable-Baselines3: policies, algorithms, and the models that it saves."""
