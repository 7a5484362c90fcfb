from django.db import migrations

from common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("allocations", "0002_initial")]
    operations = [
        append_only("allocations_ledgerentry"),
        append_only("allocations_usagehour"),
        append_only("allocations_usagecorrection"),
    ]
