from django.db import models


class Account(models.Model):
    email = models.EmailField(unique=True)
    closed_at = models.DateTimeField(null=True)
