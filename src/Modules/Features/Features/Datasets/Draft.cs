namespace Platform.Features.Datasets;

/// <summary>A temporary file that has no name: it is gone with its handle, also when the process is killed, so that nothing of an upload
/// that was refused or broken off stays on disk.</summary>
internal static class Draft
{
    public static FileStream Create()
    {
        var path = Path.Combine(Path.GetTempPath(), $"dataset-{Guid.NewGuid():N}");
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.ReadWrite,
            BufferSize = 1 << 16,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        var file = new FileStream(path, options);
        File.Delete(path);
        return file;
    }
}
