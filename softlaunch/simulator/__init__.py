"""A stand-in for a model provider and its users, to rehearse releases before real users see them."""
