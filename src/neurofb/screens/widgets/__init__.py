"""Qt parts that draw the models. They compute places on the screen and nothing else."""
