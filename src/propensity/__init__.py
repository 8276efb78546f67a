"""Lead propensity: calibrated probabilities, agreed bands, exact reasons, a visible fallback."""
