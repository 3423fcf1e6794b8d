"""What is cut out of texts before they are written."""
