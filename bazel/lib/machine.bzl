"""What of the machine is looked at before much is downloaded. Also executed by Python, like cuda_versions.bzl."""

load(":problems.bzl", "no_room", "no_temporary_folder")

def free_gigabytes(rctx, folder):
    """Asks for the free space where a folder lies.

    Args:
      rctx: the repository context.
      folder: the folder.

    Returns:
      Gigabytes that the user may fill, rounded down; None if that cannot be told.
    """
    result = rctx.execute(["df", "-Pk", folder])
    fields = [field for field in result.stdout.strip().split("\n")[-1].split(" ") if field]
    if result.return_code != 0 or len(fields) < 4 or not fields[3].isdigit():
        return None
    return int(fields[3]) * 1024 // 1000000000

def machine_problem(rctx, folder, gigabytes):
    """What keeps a download, or the build after it, from succeeding.

    Args:
      rctx: the repository context.
      folder: where the download is unpacked.
      gigabytes: what it needs there, with its archives.

    Returns:
      None or a problem.
    """
    temporary = rctx.os.environ.get("TMPDIR", "")
    if temporary and not (temporary.startswith("/") and rctx.path(temporary).exists):
        return no_temporary_folder(temporary)
    free = free_gigabytes(rctx, folder)
    if free != None and free < gigabytes:
        return no_room(free, folder, gigabytes)
    return None
