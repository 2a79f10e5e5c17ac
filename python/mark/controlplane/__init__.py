"""The control path as passive objects: told what happened and when, they answer with actions and reasons."""
