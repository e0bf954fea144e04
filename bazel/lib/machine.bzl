"""Checks of the machine before a large download. Python executes this file too, like cuda_versions.bzl."""

load(":problems.bzl", "no_room", "no_temporary_folder")

def free_gigabytes(rctx, folder):
    """Finds the free space on the disk of a folder.

    Args:
      rctx: the repository context.
      folder: the folder.

    Returns:
      Gigabytes that the user may fill, rounded down; None if the size is unknown.
    """
    result = rctx.execute(["df", "-Pk", folder])
    fields = [field for field in result.stdout.strip().split("\n")[-1].split(" ") if field]
    if result.return_code != 0 or len(fields) < 4 or not fields[3].isdigit():
        return None
    return int(fields[3]) * 1024 // 1000000000

def machine_problem(rctx, folder, gigabytes):
    """Checks that the machine can hold a download, and that the build after it can use TMPDIR.

    Args:
      rctx: the repository context.
      folder: the folder into which the download is unpacked.
      gigabytes: the space that it needs there, archives included.

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
