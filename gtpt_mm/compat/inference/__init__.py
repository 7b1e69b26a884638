"""Check the codec of models and the inputs of inferencers."""
