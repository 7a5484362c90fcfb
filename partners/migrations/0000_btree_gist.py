from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations


class Migration(migrations.Migration):
    """`=` on an integer inside a GiST exclusion constraint."""

    initial = True
    operations = [BtreeGistExtension()]
