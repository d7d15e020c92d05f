"""What runs exported models without TensorFlow."""
