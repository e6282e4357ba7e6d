"""What users drop into a model: gates, and layers that carry one."""
