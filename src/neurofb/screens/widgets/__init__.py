"""Qt parts that draw the views. They compute places on the screen and nothing else."""
