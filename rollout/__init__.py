"""Get samples from the policy: engines, environments, selection of problems and groups."""
