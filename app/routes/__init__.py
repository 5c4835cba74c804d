"""The routes: the tasks, the models, health and documentation."""
