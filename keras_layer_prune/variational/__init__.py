"""The mathematics: priors, costs, gradient estimators and the projected step.

Pure functions of tensors. This is the only folder that knows
`tensorflow_probability`, and it knows nothing of Keras layers.
"""
