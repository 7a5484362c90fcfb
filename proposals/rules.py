"""Who may do what with a proposal. The predicates are asked about its organisation."""

from accounts.rules import may_run_programme
from partners.rules import may_manage

may_propose = may_manage
may_answer = may_manage
may_decide = may_run_programme
may_edit_call = may_run_programme
