"""The whole channel controller under random traffic, held to a model of the specification."""
