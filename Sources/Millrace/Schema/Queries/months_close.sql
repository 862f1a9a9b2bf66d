SELECT millrace.close_months();
