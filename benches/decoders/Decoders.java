// Reads the messages of a file again and again, as Confluent's deserializers for Java do: Jackson's trees, Avro's generic records, Protobuf's dynamic
// messages; and takes the values of all features. Prints events a second of the fastest pass, once the compiler is warm.
//
//     java Decoders.java json|avro|protobuf MESSAGES SCHEMA

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.protobuf.DescriptorProtos.FileDescriptorSet;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.DynamicMessage;
import com.google.protobuf.Message;
import java.io.DataInputStream;
import java.io.EOFException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

public class Decoders {
  interface Reader {
    /** The sum of the event's numbers, and of the lengths of its texts. */
    double read(byte[] message) throws Exception;
  }

  static final double WARM_SECONDS = 3;
  static final double MEASURED_SECONDS = 3;

  public static void main(String[] args) throws Exception {
    List<byte[]> messages = messages(Path.of(args[1]));
    Reader reader = reader(args[0], Path.of(args[2]));
    pass(reader, messages, WARM_SECONDS);
    System.out.printf("%.0f%n", pass(reader, messages, MEASURED_SECONDS));
  }

  /** Messages, each behind its length. */
  static List<byte[]> messages(Path path) throws Exception {
    List<byte[]> all = new ArrayList<>();
    try (DataInputStream in = new DataInputStream(Files.newInputStream(path))) {
      while (true) {
        all.add(in.readNBytes(in.readInt()));
      }
    } catch (EOFException end) {
      return all;
    }
  }

  static Reader reader(String format, Path schema) throws Exception {
    switch (format) {
      case "json":
        ObjectMapper mapper = new ObjectMapper();
        return message -> {
          double sum = 0;
          for (JsonNode value : mapper.readTree(message).get("features")) {
            sum += value.isTextual() ? value.textValue().length() : value.doubleValue();
          }
          return sum;
        };
      case "avro":
        GenericDatumReader<GenericRecord> records =
            new GenericDatumReader<>(new Schema.Parser().parse(Files.readString(schema)));
        BinaryDecoder[] decoder = new BinaryDecoder[1];
        GenericRecord[] record = new GenericRecord[1];
        return message -> {
          decoder[0] = DecoderFactory.get().binaryDecoder(message, decoder[0]);
          record[0] = records.read(record[0], decoder[0]);
          GenericRecord features = (GenericRecord) record[0].get("features");
          double sum = 0;
          for (int at = 0; at < features.getSchema().getFields().size(); at++) {
            sum += of(features.get(at));
          }
          return sum;
        };
      case "protobuf":
        FileDescriptorSet set = FileDescriptorSet.parseFrom(Files.readAllBytes(schema));
        FileDescriptor file = FileDescriptor.buildFrom(set.getFile(0), new FileDescriptor[0]);
        Descriptor prediction = file.findMessageTypeByName("Prediction");
        FieldDescriptor features = prediction.findFieldByName("features");
        return message -> {
          double sum = 0;
          Message found = (Message) DynamicMessage.parseFrom(prediction, message).getField(features);
          for (FieldDescriptor field : found.getDescriptorForType().getFields()) {
            sum += of(found.getField(field));
          }
          return sum;
        };
      default:
        throw new IllegalArgumentException(format);
    }
  }

  static double of(Object value) {
    return value instanceof Double ? (Double) value : value.toString().length();
  }

  /** Events a second of the fastest pass. */
  static double pass(Reader reader, List<byte[]> messages, double seconds) throws Exception {
    long begun = System.nanoTime();
    double best = 0;
    double sum = 0;
    while (System.nanoTime() - begun < seconds * 1e9) {
      long start = System.nanoTime();
      for (byte[] message : messages) {
        sum += reader.read(message);
      }
      best = Math.max(best, messages.size() * 1e9 / (System.nanoTime() - start));
    }
    if (!(sum > 0)) {
      throw new IllegalStateException("nothing was read");
    }
    return best;
  }
}
