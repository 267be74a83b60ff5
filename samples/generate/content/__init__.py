"""What the documents say, one module per folder of documents. Marks in braces are explained in labels.py."""

from content import customers, drivers, equipment, invoices, loads, mail, manuals, reports

DOCUMENTS = [document for module in (customers, drivers, equipment, loads, invoices, manuals, mail, reports)
             for document in module.DOCUMENTS]
