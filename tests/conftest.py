"""What all tests share."""

from hypothesis import settings

# How long an example takes says more about the machine than about the law.
settings.register_profile("propensity", deadline=None)
settings.load_profile("propensity")
