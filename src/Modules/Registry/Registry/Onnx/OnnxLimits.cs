namespace Platform.Registry.Onnx;

/// <summary>What a file may hold before anything native sees it. The version limits are those of ONNX Runtime 1.31, which a test holds true.</summary>
internal static class OnnxLimits
{
    public const int MinIrVersion = 3;
    public const int MaxIrVersion = 13;

    /// <summary>Older operator sets still parse, but the runtime promises nothing for them.</summary>
    public const int MinOpset = 7;
    public const int MaxOpset = 26;
    public const int MinMlOpset = 1;
    public const int MaxMlOpset = 5;

    public const int MaxNodes = 250_000;
    public const int MaxInputs = 4_096;
    public const int MaxOutputs = 1_024;
    public const int MaxRank = 16;
    public const int MaxNameLength = 512;

    /// <summary>What a sparse tensor may unpack to, and what an input or an output may declare with all dimensions fixed.</summary>
    public const long MaxDenseBytes = 1L << 30;

    /// <summary>Branches within branches (If, Loop, Scan). Real models stay under four.</summary>
    public const int MaxDepth = 8;
}
