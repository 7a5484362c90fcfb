from django.db import migrations

from common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("usage", "0001_initial")]
    operations = [append_only("usage_statement"), append_only("usage_casestep")]
