"""Common claims about hyperparameters, each put to real data: a sweep file a question, and one page of answers."""
