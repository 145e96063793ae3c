using Microsoft.ML;
using Microsoft.ML.Data;

namespace Platform.Registry.Training;

/// <summary>Chosen rows of the table as ML.NET reads them: raw numbers with NaN, raw texts, and the label. Its columns' names are positions,
/// because a person's column names could be anything.</summary>
internal sealed class TableView : IDataView
{
    /// <summary>Every number, date and boolean column, in the plan's order.</summary>
    public const string Numbers = "Numbers";

    /// <summary>Only those whose training rows have missing values.</summary>
    public const string Holes = "Holes";

    public const string Label = "Label";

    /// <summary>What ML.NET sees in place of the empty text, which it would take for "no category" and not for a category of its own.</summary>
    public const string MissingText = "\0";

    private readonly TrainingTable table;
    private readonly int[] rows;
    private readonly Func<int, float> label;
    private readonly NumberColumn[] numbers;
    private readonly NumberColumn[] holes;
    private readonly Dictionary<string, TextColumn> texts = [];

    public TableView(TrainingTable table, int[] rows, FeaturePlan plan, Func<int, float>? label = null)
    {
        (this.table, this.rows, this.label) = (table, rows, label ?? (_ => 0f));
        numbers = [.. plan.Numbers.Select(n => (NumberColumn)table[n.Name])];
        holes = [.. plan.Holes.Select(n => (NumberColumn)table[n.Name])];

        var schema = new DataViewSchema.Builder();
        if (numbers.Length > 0) schema.AddColumn(Numbers, new VectorDataViewType(NumberDataViewType.Single, numbers.Length));
        if (holes.Length > 0) schema.AddColumn(Holes, new VectorDataViewType(NumberDataViewType.Single, holes.Length));
        for (int i = 0; i < plan.Categories.Count; i++)
        {
            schema.AddColumn(Text(i), TextDataViewType.Instance);
            texts.Add(Text(i), (TextColumn)table[plan.Categories[i].Name]);
        }

        schema.AddColumn(Label, NumberDataViewType.Single);
        Schema = schema.ToSchema();
    }

    public DataViewSchema Schema { get; }

    public bool CanShuffle => false;

    public static string Text(int category) => $"Text{category}";

    public long? GetRowCount() => rows.Length;

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
        new Cursor(this, [.. columnsNeeded.Select(c => c.Index)]);

    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        [GetRowCursor(columnsNeeded, rand)];

    private sealed class Cursor(TableView view, HashSet<int> active) : DataViewRowCursor
    {
        private long position = -1;

        public override DataViewSchema Schema => view.Schema;

        public override long Position => position;

        public override long Batch => 0;

        private int Row => view.rows[position];

        public override bool IsColumnActive(DataViewSchema.Column column) => active.Contains(column.Index);

        public override bool MoveNext() => position < view.rows.Length && ++position < view.rows.Length;

        public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = new DataViewRowId((ulong)position, 0);

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column) => (ValueGetter<TValue>)(column.Name switch
        {
            Numbers => Vector(view.numbers),
            Holes => Vector(view.holes),
            Label => (Delegate)(ValueGetter<float>)((ref float value) => value = view.label(Row)),
            var text => Text(view.texts[text]),
        });

        private ValueGetter<VBuffer<float>> Vector(NumberColumn[] columns) => (ref VBuffer<float> value) =>
        {
            var editor = VBufferEditor.Create(ref value, columns.Length);
            for (int i = 0; i < columns.Length; i++) editor.Values[i] = columns[i].Input(Row);
            value = editor.Commit();
        };

        private ValueGetter<ReadOnlyMemory<char>> Text(TextColumn column) => (ref ReadOnlyMemory<char> value) =>
            value = column[Row] is { Length: > 0 } text ? text.AsMemory() : MissingText.AsMemory();
    }
}
