SELECT millrace.horizon()
