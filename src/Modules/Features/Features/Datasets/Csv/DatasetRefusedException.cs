using Platform.Kernel;

namespace Platform.Features.Datasets.Csv;

/// <summary>Carries a refusal out of the depth of the reader; <see cref="DatasetReader.Read"/> turns it back into a value.</summary>
internal sealed class DatasetRefusedException(Refusal refusal) : Exception(refusal.Detail)
{
    public Refusal Refusal { get; } = refusal;
}
